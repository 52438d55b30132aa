# The module builds in a plain source tree of nginx by ./configure --add-dynamic-module, and loads.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

my $folder = tempdir(CLEANUP => 1);
my $here = getcwd();
mkdir "$folder/$_" for qw(sources lists lists/partial);
chmod 0777, $folder;

# The distribution's own nginx source, from the archives that apt knows.
my @sources = glob '/etc/apt/sources.list /etc/apt/sources.list.d/*';
for my $file (grep { -f } @sources) {
    open my $in, '<', $file or next;
    my $text = do { local $/; <$in> };
    $text =~ s/^Types: .*/Types: deb-src/mg;
    $text =~ s/^deb /deb-src /mg;
    my ($name) = $file =~ m{([^/]+)$};
    open my $out, '>', "$folder/sources/$name" or die $!;
    print $out $text;
}
my $apt = "apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$folder/sources -o Dir::State::Lists=$folder/lists -o APT::Sandbox::User=root";
my $said = `cd $folder && $apt update 2>&1 && $apt source --download-only --tar-only nginx 2>&1`;
my ($tar) = glob "$folder/nginx_*.orig.tar.gz";
ok($tar, 'the source is there') or BAIL_OUT($said);
system("tar xf $tar -C $folder") == 0 or die;
my ($tree) = grep { -d } glob "$folder/nginx-*";

my $said_configure = `cd $tree && HEARTBEAT_BUILD=build/plain ./configure --with-compat --add-dynamic-module=$here 2>&1`;
is($?, 0, 'configure') or diag $said_configure;
my $said_make = `make -j2 -C $tree modules 2>&1`;
is($?, 0, 'make modules') or diag $said_make;
ok(-f "$tree/objs/ngx_http_heartbeat_module.so", 'the module');

open my $conf, '>', "$folder/conf" or die $!;
print $conf "load_module $tree/objs/ngx_http_heartbeat_module.so; error_log $folder/e; pid $folder/p; events {} http { server { listen 127.0.0.1:9; location = /p { heartbeat ping; } } }";
close $conf;
my $said_test = `nginx -t -c $folder/conf 2>&1`;
is($?, 0, 'it loads in the installed nginx') or diag $said_test;
done_testing;
